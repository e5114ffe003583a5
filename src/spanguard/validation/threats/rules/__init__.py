"""The rules, one module a family."""

from spanguard.validation.threats.rules.command_injection import COMMAND_INJECTION
from spanguard.validation.threats.rules.path_traversal import PATH_TRAVERSAL
from spanguard.validation.threats.rules.sql_injection import SQL_INJECTION
from spanguard.validation.threats.rules.xss import XSS

__all__ = ["COMMAND_INJECTION", "PATH_TRAVERSAL", "SQL_INJECTION", "XSS"]
