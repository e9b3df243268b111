#include "plan/tree.h"

#include "math/order.h"

namespace tg::plan {

RowTree::RowTree(int64_t rows) : rows_(rows), shard_(shard_rows(rows)) {}

// The largest power of two of leaves that is less than all.
int64_t RowTree::middle(Rows node) const {
  int64_t leaves = 1;
  while (leaves * 2 * shard_ < node.count()) leaves *= 2;
  return node.first + leaves * shard_;
}

void RowTree::collect(Rows node, Rows within, std::vector<Rows>& found) const {
  if (node.end <= within.first || within.end <= node.first) return;
  if (within.first <= node.first && node.end <= within.end) {
    found.push_back(node);
    return;
  }
  const int64_t at = middle(node);
  collect({node.first, at}, within, found);
  collect({at, node.end}, within, found);
}

std::vector<Rows> RowTree::subtrees(Rows within) const {
  std::vector<Rows> found;
  collect({0, rows_}, within, found);
  return found;
}

bool RowTree::halves(Rows a, Rows b) const {
  if (a.end != b.first) return false;
  for (Rows node{0, rows_}; node.count() > shard_;) {
    const int64_t at = middle(node);
    if (at == a.end) return node.first == a.first && node.end == b.end;
    if (a.end < at) node.end = at;
    else node.first = at;
  }
  return false;
}

}  // namespace tg::plan
