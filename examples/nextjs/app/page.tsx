import { list } from '../lib/pregon';
import { Feed } from './feed';

export default async function Page() {
  return <Feed initial={await list('/api/posts/')} />;
}
