// Refuses calls whose arguments hold a forbidden text.
import { log } from 'mcp:security-guard/host@1.0.0';

const FORBIDDEN = '/etc/passwd';

// Each interface that wit/world.wit exports is one export. What is thrown is a failure; an option without a value is
// null.
export const toolInvoke = {
  evaluate(toolName, args, context) {
    if (!args.includes(FORBIDDEN)) return { tag: 'allow' };
    log(2, `forbidden text in a call of ${toolName}`);
    return {
      tag: 'deny',
      val: { code: 'forbidden_text', message: 'An argument holds a forbidden text.', details: null },
    };
  },
};
