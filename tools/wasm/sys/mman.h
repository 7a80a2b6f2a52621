// There are no large pages to ask for in the browser.
#pragma once
