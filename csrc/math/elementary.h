// Elementary functions of the library, written once for every lane type (lane.h): scalars, vectors of each
// ISA, CUDA device code and exported headers. They use exactly rounded operations in one fixed order, so
// every build of them gives the same bits. Bounds and how they are measured: docs/arithmetic.md,
// tests/cpp/ulp.
#pragma once
#include "angle.h"
#include "erf.h"
#include "exp_log.h"
#include "hyperbolic.h"
#include "pow.h"
#include "trig.h"
