"""Stage ``features``: the feature vector and the regime at the close of every bar."""
