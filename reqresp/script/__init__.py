"""Scripts: a whole service in one TOML file."""
