// trigrad._core.metrics: functions over numpy's float64 arrays, whose lengths trigrad.metrics has checked.
#pragma once
#include "bind/python.h"

namespace tg::bind {

void init_metrics(PyObject* module);

}  // namespace tg::bind
