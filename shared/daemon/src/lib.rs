//! What every daemon does: command line, configuration, activation, logging, signals.
