"""One training, in a process of its own: the libraries that train weigh 200 MB, which go with the process."""

from __future__ import annotations

import logging

from clickhouse_connect.driver.exceptions import ClickHouseError

from connectors.clickhouse.client import connect
from ml.artefacts import ArtefactStore
from processors.components import publisher
from processors.learning.history import HistoryBars
from processors.learning.settings import LearningSettings
from processors.learning.trainer import Trainer
from quantum import logging as logs
from quantum.errors import RetryError
from quantum.revision import revision
from quantum.settings import Settings
from quantum.trace import Headers, caused_headers
from schemas.learning.records import ModelRetrain

LOGGER = logging.getLogger(__name__)
RUNS = "model.training"


def answer(settings: Settings, request: ModelRetrain, cause: Headers) -> None:
    """Train as a request asks and write the run's records.

    Parameters
    ----------
    settings
        Settings of the platform.
    request
        What to train.
    cause
        Headers of the request.

    Raises
    ------
    RetryError
        The history or Kafka is away.
    """
    logs.configure("training", settings.log_level)
    with publisher(settings, "trainer") as out:
        client = connect(settings)
        models = ArtefactStore(settings.folders.models)
        work = Trainer(HistoryBars(client), models, LearningSettings(), settings.venue, settings.feature_interval, revision())
        try:
            for record in work.run(request):
                out.send(RUNS, record.model, record, caused_headers(record.event_id, request.event_id, cause))
                out.flush()
                LOGGER.info("training of %s: %s, %s", record.model, record.phase, record.detail)
        except ClickHouseError as error:
            raise RetryError(f"the history does not answer as it should: {error}", "quantum status") from error
        finally:
            client.close()
