"""AgentDojo's workspace and slack suites behind `TrustedOrigins`: `make origins`, in an environment of its own."""
