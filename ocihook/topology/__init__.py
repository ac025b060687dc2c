"""Which NUMA nodes are local and which are far, as sysfs tells."""
