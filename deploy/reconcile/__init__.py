"""Do the four services agree? Compares their schemas, the topics, the mails and the KPIs.

Shares no code with the services: what they compute is computed here once more, in the plainest
way, from the events alone.
"""

from deploy.reconcile.command import command
from deploy.reconcile.differences import Compared, Difference
from deploy.reconcile.looking import Place, Report, look, reconcile, report, settled

__all__ = [
    "Compared",
    "Difference",
    "Place",
    "Report",
    "command",
    "look",
    "reconcile",
    "report",
    "settled",
]
