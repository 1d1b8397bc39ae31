// Node 20 has neither of these.
import 'fake-indexeddb/auto';
