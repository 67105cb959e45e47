"""Scores against raters: concordance of dimensions, divergence from votes, texts and plots."""
