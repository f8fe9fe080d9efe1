//===- Closure.cpp - What is worth having with all that it needs ----------===//
//
// Part of the ftc project, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The cut: an arc from the source to each node of positive weight, as wide as the weight, one from each node of
// negative weight to the sink, and one without limit from each node to what it needs. A finite cut never separates a
// node from what it needs, and its width is the positive weight left out plus the negative weight let in. What the
// source still reaches when no more can flow is the smallest of the best sets.
//
//===----------------------------------------------------------------------===//

#include "ftc/Planning/Closure.h"

#include <algorithm>

using namespace ftc;

namespace {

class FlowNetwork {
public:
  explicit FlowNetwork(int nodes) : arcsOf(nodes), level(nodes), next(nodes) {}

  void connect(int from, int to, int64_t width) {
    arcsOf[from].push_back(static_cast<int>(arcs.size()));
    arcs.push_back({to, width});
    arcsOf[to].push_back(static_cast<int>(arcs.size()));
    arcs.push_back({from, 0});
  }

  void fill(int source, int sink) {
    while (measure(source), level[sink] >= 0) {
      std::fill(next.begin(), next.end(), 0);
      while (push(source, sink)) {
      }
    }
  }

  /// After `fill`: whether more could flow from the source to `node`.
  bool isReached(int node) const { return level[node] >= 0; }

private:
  struct Arc {
    int to;
    int64_t room;
  };

  void measure(int source) {
    std::fill(level.begin(), level.end(), -1);
    std::vector<int> queue{source};
    level[source] = 0;
    for (size_t i = 0; i < queue.size(); ++i)
      for (int arc : arcsOf[queue[i]])
        if (arcs[arc].room > 0 && level[arcs[arc].to] < 0) {
          level[arcs[arc].to] = level[queue[i]] + 1;
          queue.push_back(arcs[arc].to);
        }
  }

  /// One path of arcs with room, without recursion: a layer's graph may be as deep as it is large.
  bool push(int source, int sink) {
    std::vector<int> path;
    for (int node = source; node != sink;) {
      bool advanced = false;
      for (int &turn = next[node]; turn < static_cast<int>(arcsOf[node].size()); ++turn) {
        int arc = arcsOf[node][turn];
        if (arcs[arc].room > 0 && level[arcs[arc].to] == level[node] + 1) {
          path.push_back(arc);
          node = arcs[arc].to;
          advanced = true;
          break;
        }
      }
      if (advanced)
        continue;
      if (path.empty())
        return false;
      node = arcs[path.back() ^ 1].to;
      ++next[node];
      path.pop_back();
    }
    int64_t width = INT64_MAX;
    for (int arc : path)
      width = std::min(width, arcs[arc].room);
    for (int arc : path) {
      arcs[arc].room -= width;
      arcs[arc ^ 1].room += width;
    }
    return true;
  }

  std::vector<Arc> arcs; ///< each followed by the one back
  std::vector<std::vector<int>> arcsOf;
  std::vector<int> level, next;
};

} // namespace

std::vector<bool> ftc::maximumClosure(std::span<const int64_t> weights, std::span<const Need> needs) {
  int count = static_cast<int>(weights.size()), source = count, sink = count + 1;
  FlowNetwork network(count + 2);
  int64_t unlimited = 1;
  for (int node = 0; node < count; ++node) {
    if (weights[node] > 0) {
      network.connect(source, node, weights[node]);
      unlimited += weights[node];
    } else if (weights[node] < 0) {
      network.connect(node, sink, -weights[node]);
    }
  }
  for (Need need : needs)
    network.connect(need.node, need.needed, unlimited);
  network.fill(source, sink);
  std::vector<bool> chosen(weights.size());
  for (int node = 0; node < count; ++node)
    chosen[node] = network.isReached(node);
  return chosen;
}
