//! tributary-mapreduce
