"""The comparison with the Rust engine compares with the right numbers."""

import numpy as np
import pytest
from test_publish import SAMPLE

import check_models
from tribunal_training import models


@pytest.mark.parametrize("trainer", [t for t in models.TRAINERS if t.reads_vector], ids=lambda t: t.name)
def test_each_saved_file_answers_as_the_model_that_was_fitted(tmp_path, trainer):
    model = trainer.fit(SAMPLE, "ip", 1)
    file = tmp_path / f"ip.{trainer.suffix}"
    trainer.save(model, file, SAMPLE.names)
    found = check_models.trainer_probability(trainer.format, file, SAMPLE.x)
    assert np.abs(found - trainer.probability(model, SAMPLE)).max() < 1e-7


def test_entities_are_of_both_kinds_and_differ():
    made = check_models.entities(1000)
    assert len(set(made)) == 1000
    assert 100 < sum(name.replace(".", "").isdigit() for name in made) < 400
