"""Pure: sizes, annotations, OCI state and config.json, JSON without the ``json`` package."""
