#include "ftc/Support/Diagnostics.h"
#include "ftc/Trainer/Loop.h"
#include "mlir/IR/Builders.h"
