"""Short encoders become long ones: tables of renames, position rows, proof."""
