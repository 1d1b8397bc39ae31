// The service worker of the tests' page.

import { handlePush } from '../../dist/sw.js';

handlePush({ always: new URL(location.href).searchParams.has('always') });
