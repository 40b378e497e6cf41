"""Figures and the page, from finished records only."""

from ionsmith.report.page import write_report

__all__ = ["write_report"]
