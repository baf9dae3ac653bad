"""Scripts: a whole service in one TOML file."""

from reqresp.script.loader import Script, ScriptError
from reqresp.script.reader import Problem

__all__ = ["Problem", "Script", "ScriptError"]
