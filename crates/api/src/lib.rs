//! Typed resources of the Kurator API and of the velero.io member protocol, and every name and label.
