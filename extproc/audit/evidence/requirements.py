"""The requirement table: which clauses of PCI DSS v4.0.1 the service touches, each with its number in v3.2.1.

Numbers are references; the wording is ours. Old numbers are taken from published comparisons of the two versions.
"""

from extproc.audit.evidence.requirement import Requirement
from extproc.audit.evidence.requirements_access import ACCESS
from extproc.audit.evidence.requirements_data import DATA
from extproc.audit.evidence.requirements_log import LOG

REQUIREMENTS: tuple[Requirement, ...] = (*DATA, *ACCESS, *LOG)
