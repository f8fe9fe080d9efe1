// Gives the precompiled MLIR headers a target to live in.
