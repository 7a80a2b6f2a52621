// The exported nets of the chapters, by the name of the notebook: the files nets-NAME.js, which the build writes, fill it.
"use strict";

const NETS = {};
