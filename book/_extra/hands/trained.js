// Starts each part that a page has: the page `trained` all of them, a chapter its own.
"use strict";

const parts = {
  "hands-adding": (root) => gates.start(root, "adding"),
  "hands-inversion": (root) => gates.start(root, "context"),
  "hands-digits": (root) => digits.start(root),
  "hands-reviews": (root) => reviews.start(root),
};
for (const [id, start] of Object.entries(parts)) {
  const root = document.getElementById(id);
  if (root) start(root);
}
