//! tributary-operator
