"""The bundled profiles."""
