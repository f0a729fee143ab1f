//! F6: configuration, boot, and one file a subcommand.
