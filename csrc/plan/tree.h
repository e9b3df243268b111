// The binary tree of the batch order (math/order.h) over the rows of a batch, and what of it lies within some rows.
#pragma once
#include <cstdint>
#include <vector>

namespace tg::plan {

struct Rows {
  int64_t first, end;
  int64_t count() const { return end - first; }
};

class RowTree {
 public:
  explicit RowTree(int64_t rows);

  int64_t rows() const { return rows_; }
  int64_t shard() const { return shard_; }  // the rows of a leaf
  // The largest subtrees within these rows, in order. They begin at a leaf and end at one, or with the last row.
  std::vector<Rows> subtrees(Rows within) const;
  // Are they the two halves of a subtree?
  bool halves(Rows a, Rows b) const;

 private:
  void collect(Rows node, Rows within, std::vector<Rows>& found) const;
  int64_t middle(Rows node) const;  // of a node that is no leaf

  int64_t rows_, shard_;
};

}  // namespace tg::plan
