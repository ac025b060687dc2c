"""`bede SUBCOMMAND`, one module each."""
