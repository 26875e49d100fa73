//! Adversarial NOR flash: torn writes, half erases, write-once words; and the power-cut explorer.
