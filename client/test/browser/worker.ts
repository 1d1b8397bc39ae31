// The script of the tests' SharedWorker.

import { serve } from '../../dist/index.js';

serve();
