#include "bind/predictor_pickle.h"

#include "bind/predictor_type.h"
#include "cuda/predictor.h"
#include "realtime/predictor.h"

namespace tg::bind {

PyObject* reduce_predictor(PyObject* self, PyObject*) {
  return guarded([&] {
    const auto attribute = [&](const char* name) { return owned(PyObject_GetAttrString(self, name)); };
    const auto flag = [](bool set) { return set ? Py_True : Py_False; };
    const Ref functools = owned(PyImport_ImportModule("functools"));
    const Ref partial = owned(PyObject_GetAttrString(functools.get(), "partial"));
    const Ref again = attribute("from_bytes"), given = owned(PyTuple_Pack(1, again.get()));
    const Ref batch = attribute("batch"), device = attribute("device"), persistent = attribute("persistent");
    const realtime::Predictor& p = predictor_of(self);
    const Ref options =
        owned(Py_BuildValue("{s:O,s:O,s:O,s:O,s:O}", "batch", batch.get(), "flush_denormals", flag(p.flush_denormals()),
                            "lock_memory", flag(p.locked()), "device", device.get(), "persistent", persistent.get()));
    const Ref make = owned(PyObject_Call(partial.get(), given.get(), options.get()));
    const Ref bytes = owned(PyObject_CallMethod(self, "to_bytes", nullptr)), error = attribute("error");
    return checked(Py_BuildValue("O(O)O", make.get(), bytes.get(), error.get()));
  });
}

}  // namespace tg::bind
