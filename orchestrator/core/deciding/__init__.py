"""Whether to act, by which tier; what people say; when an outage is over."""
