"""A comparison as one page that opens from disk: `report.html`."""

from masknet.compare.report.page import report_html

__all__ = ["report_html"]
