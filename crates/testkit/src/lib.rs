//! Real clusters, Velero and object storage for tests, in network namespaces that vanish with them.
