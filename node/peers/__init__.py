"""Links between departments: TLS, mutual authentication, bounded queues, requests and answers."""
