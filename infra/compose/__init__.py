"""The platform in containers: its image, and the watch that writes the containers' health."""
