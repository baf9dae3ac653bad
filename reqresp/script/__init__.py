"""Scripts: a whole service in one TOML file."""

from reqresp._errors import Problem
from reqresp.script.loader import Script, ScriptError

__all__ = ["Problem", "Script", "ScriptError"]
