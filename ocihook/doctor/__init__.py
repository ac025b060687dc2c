"""`bede doctor`: facts about this host, each with a verdict and, where there is one, a remedy."""
