// The small page in another site asks again now and then, and shows moments in the reader's own time zone.

import "./local.js";

setTimeout(() => { location.reload(); }, 60000);
