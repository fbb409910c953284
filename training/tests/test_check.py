"""The comparison with the Rust engine compares with the right numbers."""

import numpy as np
from test_publish import NAMES, X, Y

import check_models
from tribunal_training import models, publish


def test_each_shipped_file_answers_as_the_model_that_was_fitted(tmp_path):
    for trainer in models.TRAINERS:
        model = trainer.fit(X, Y, NAMES, "ip", 1)
        part = publish.part(trainer, model, "ip", NAMES, tmp_path)
        found = check_models.trainer_probability(part, tmp_path, X)
        assert np.abs(found - trainer.probability(model, X)).max() < 1e-7, trainer.name


def test_entities_are_of_both_kinds_and_differ():
    made = check_models.entities(1000)
    assert len(set(made)) == 1000
    assert 100 < sum(name.replace(".", "").isdigit() for name in made) < 400
