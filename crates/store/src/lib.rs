//! Object stores behind one small trait.
