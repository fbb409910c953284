"""Training of the models that Tribunal ships: from labelled entities to a registry folder.

Features are computed by the `tribunal` binary alone, the same code that production runs. This package fits the
lexicon (word list, n-gram counts, smoothed rates), splits, trains, measures and publishes; it computes no feature.
"""
