//! The one door to a member cluster.
