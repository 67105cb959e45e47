"""Metrics, calibration, significance, tables, plots and reports, without torch."""
