// The page `trained`: starts each of its parts.
"use strict";

gates.start(document.getElementById("hands-adding"), "adding");
gates.start(document.getElementById("hands-inversion"), "context");
digits.start(document.getElementById("hands-digits"));
reviews.start(document.getElementById("hands-reviews"));
