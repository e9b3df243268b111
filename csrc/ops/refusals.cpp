#include "ops/refusals.h"

#include "ops/op.h"

namespace tg {

void refuse(const Op& called, const Check& check, const Note& note) {
  // A part of a row speaks for the row.
  const std::string& op = called.id == op_class_total ? tg::op(op_cross_entropy).name : called.name;
  switch (check.what) {
    case Check::index:
      fail(ErrorKind::Index, "[", op, "] index ", note.value, " is out of range for dimension ", check.axis,
           " of length ", check.length, ", expected ",
           check.length ? std::to_string(check.low) + " to " + std::to_string(check.length - 1) : "none");
    case Check::target:
      fail(ErrorKind::Index, "[", op, "] target[", note.place, "] is ", note.value, ", expected a class from 0 to ",
           check.length - 1, ", or ignore_index ", check.given, "; check the labels against the number of outputs");
    case Check::divisor:
      fail(ErrorKind::Runtime, "[", op, "] integer division by zero: element ", note.place, " of other ",
           Dims(check.shape, check.rank),
           " is 0, expected none; replace zeros with where(), or divide as floating point");
    case Check::probability:
      fail(ErrorKind::Runtime, "[", op, "] element ", note.place, " is ", note.probability,
           ", expected a probability from 0 to 1");
    default:
      fail(ErrorKind::Value, "[", op, "] n is ", check.given, ", expected ", note.value,
           ", the number of elements that are not 0");
  }
}

}  // namespace tg
