//! Virtual Bluetooth LE controllers on a simulated air, with link-layer timing and encryption.
